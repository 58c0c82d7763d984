"""supervision: the simulated supervision of business-environment issues (营商环境问题交办督办)."""

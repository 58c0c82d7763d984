"""trading: the simulated public resource trading system (公共资源交易)."""

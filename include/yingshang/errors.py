"""What can go wrong, in two kinds: terminal errors fail at once, transient ones are worth another try.

The kind is the type, so that neither Airflow nor the CLI needs a list of what to retry.
A message names the node, dataset, night and column where they apply, and what to do next; never a
citizen's data, never a secret.
"""


class YingshangError(Exception):
    """Any error that this program explains. The message is written for the data engineer."""


class TerminalError(YingshangError):
    """Another try cannot help: something has to be changed first."""


class TransientError(YingshangError):
    """The same call may succeed later."""


class UsageError(TerminalError):
    """The caller asked for something that is not there (a night in the future, an unknown node)."""


class ContractError(TerminalError):
    """A contract is not valid, or a source no longer delivers what its contract requires."""


class RegistryError(TerminalError):
    """The registry names something that does not exist."""


class CredentialError(TerminalError):
    """A connection or key is missing, or the source refuses it."""


class LoginRefused(CredentialError):
    """The warehouse refuses a login that we have a connection for."""


class RejectLimitExceeded(TerminalError):
    """More rows of a batch break the contract than it tolerates; nothing of the batch loads."""


class BuildError(TerminalError):
    """dbt failed; nothing is published."""


class AuditFailed(TerminalError):
    """The publish gate found something wrong in the finished marts; nothing is published."""


class SourceUnavailable(TransientError):
    """A source does not answer, or breaks off."""


class SourceInconsistent(TransientError):
    """A source answers, but contradicts itself (totals, manifests, pages); nothing of the batch loads."""


class ManifestError(SourceInconsistent):
    """A drop without manifest, or whose file does not match it."""


class WarehouseUnavailable(TransientError):
    """The warehouse does not answer."""


class SecretsUnavailable(TransientError):
    """The secrets backend does not answer."""


class PublicationPostponed(TransientError):
    """Readers stand in the way of a publication past its time limit."""

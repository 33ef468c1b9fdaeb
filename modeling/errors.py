"""Everything that can go wrong on purpose. Each error says *what* happened and, in `hint`, *what to do* about it.

    FalconError
    ├── InvalidRequest          a value, prompt or combination that cannot work
    │   └── ContextExceeded     longer than the model was built for (Falcon-H1's positions)
    ├── ModelUnavailable        the checkpoint cannot be had
    │   ├── ModelNotFound       no such folder, repository or revision
    │   ├── ModelGated          it exists, but not for this user (401, 403)
    │   └── DownloadFailed      the network gave up half way, or there is none
    ├── MemoryExceeded          it does not fit: weights, state or KV pages
    ├── StateRefused            a saved state or session that does not belong here
    ├── BadModelFile            a checkpoint that is damaged, hostile or of an unknown kind
    │   ├── UnknownModelType    config.json names a family that falcon does not run
    │   └── UnsupportedConfig   a field changes the mathematics in a way that falcon does not know
    ├── DeviceUnavailable       the requested device or kernel backend cannot be used here
    ├── NumericalFailure        NaN or infinity where a number was expected
    └── WriteFailed             a file could not be written: disk full, read-only, no permission

`falcon_cli` maps each class to one exit code (`falcon help exit-codes`); nothing else does.
"""


class FalconError(Exception):
    """Root of the tree: `str(error)` is one sentence, `error.hint` the next thing to try ("" if there is none)."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class InvalidRequest(FalconError):
    """A value, prompt or combination of options that cannot work."""


class ContextExceeded(InvalidRequest):
    """Prompt and answer need more positions than the model has (Falcon-H1; FalconMamba has no limit)."""


class ModelUnavailable(FalconError):
    """The checkpoint cannot be had."""


class ModelNotFound(ModelUnavailable):
    """No such folder, repository or revision."""


class ModelGated(ModelUnavailable):
    """The repository exists, but this user may not read it (401 or 403)."""


class DownloadFailed(ModelUnavailable):
    """The network gave up, delivered the wrong bytes, or is not there."""


class MemoryExceeded(FalconError):
    """Weights, state or KV pages do not fit the memory they may use."""


class StateRefused(FalconError):
    """A saved state or session does not belong to this model or is damaged."""


class BadModelFile(FalconError):
    """A checkpoint is damaged, hostile or of an unknown kind."""


class UnknownModelType(BadModelFile):
    """`config.json` names a model family that falcon does not run."""


class UnsupportedConfig(BadModelFile):
    """A field of `config.json` changes the mathematics in a way that falcon does not know."""


class DeviceUnavailable(FalconError):
    """The requested device or kernel backend cannot be used on this machine."""


class NumericalFailure(FalconError):
    """NaN or infinity where a finite number was expected."""


class WriteFailed(FalconError):
    """A file could not be written: disk full, read-only, no permission."""

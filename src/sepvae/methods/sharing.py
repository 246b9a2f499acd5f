"""`SharingMixin`: estimators for other programs."""

from importlib import import_module
from pathlib import Path

from sklearn.utils.validation import check_is_fitted

from sepvae.errors import DataError


class SharingMixin:
    """What a fitted estimator writes for other programs."""

    def to_onnx(self, path: str | Path) -> Path:
        """
        Write encoders and decoder as ONNX graphs, for programs without torch.

        `encoder.onnx` computes `common_mean`, `common_logvar`, `salient_mean` and `salient_logvar` from `x`;
        `decoder.onnx` computes `x` from `common` and `salient`. Scaling and principal components are in the
        graphs; `onnx.json` says which input they take. Both are run by onnxruntime on random samples first.

        Parameters
        ----------
        path : str or Path
            The folder; it must not exist.

        Returns
        -------
        Path
            The folder. Methods without decoder have no `decoder.onnx`.

        Raises
        ------
        DataError
            If the packages of extra `onnx` are missing, if the model needs covariates (`harmonise`,
            `residualise`), if torch cannot export its network, or if an output differs from that of this
            estimator by more than 1e-4 of its largest value.
        RunFolderError
            If the folder exists.
        """
        check_is_fitted(self)
        require("onnx", "onnx", "onnxscript", "onnxruntime")
        from sepvae.methods.onnx_graphs import write_onnx

        return write_onnx(self, Path(path))  # type: ignore[arg-type]


def require(extra: str, *packages: str) -> None:
    """Raise DataError with the extra to install if one of its packages is missing."""
    for package in packages:
        try:
            import_module(package)
        except ImportError as error:
            raise DataError(f"{package} is not installed; pip install 'sepvae[{extra}]'") from error

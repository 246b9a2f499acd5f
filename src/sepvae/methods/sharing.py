"""`SharingMixin`: estimators for other programs and other people."""

from pathlib import Path
from tempfile import TemporaryDirectory

from sklearn.utils.validation import check_is_fitted

from sepvae.checks import check_installed
from sepvae.methods.storing import save_estimator


class SharingMixin:
    """What a fitted estimator writes for other programs and other people."""

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
        check_installed("onnx", "onnx", "onnxscript", "onnxruntime")
        from sepvae.methods.onnx_graphs import write_onnx

        return write_onnx(self, Path(path))  # type: ignore[arg-type]

    def push_to_hub(
        self, repo: str, *, private: bool = True, license_id: str | None = None, about: str = ""
    ) -> str:
        """
        Upload this model and a model card to the Hugging Face Hub, with the account of `hf auth login`.

        Nothing but `model.json`, `model.safetensors` and `README.md` is uploaded. The model holds statistics
        of the people it was fitted on. `sepvae push RUN` writes a card with data and scores.

        Parameters
        ----------
        repo : str
            Repository, "user/model"; it is made if it does not exist. Files of these names are replaced.
        private : bool, default=True
            Only the account may read it. A repository that is public is refused.
        license_id : str or None, default=None
            Identifier of the license, such as "cc-by-nc-4.0", which the data must allow.
        about : str, default=""
            Sections on data and results for the card, in Markdown.

        Returns
        -------
        str
            Address for `sepvae.load`: "hf://user/model".

        Raises
        ------
        DataError
            If the package of extra `hub` is missing, or the Hub refuses.
        """
        check_is_fitted(self)
        check_installed("hub", "huggingface_hub")
        from sepvae.methods.hub import model_card, upload

        card = model_card(self, repo, license_id, about)  # type: ignore[arg-type]
        with TemporaryDirectory() as folder:
            model = save_estimator(self, Path(folder, "model"))  # type: ignore[arg-type]
            return upload(self, model, card, repo, private=private)  # type: ignore[arg-type]

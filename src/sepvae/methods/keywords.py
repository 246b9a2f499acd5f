"""Docstring entries for the keywords and fitted attributes that all contrastive VAEs share."""

from inspect import cleandoc

MARK = "others : object\n    What all methods take."
ATTRIBUTES_MARK = "others : object\n    What all fits leave."

KEYWORDS = """\
    common_dim : int, default=16
        Dimension of the common space (D_c).
    salient_dim : int, default=16
        Dimension of the salient space (D_s).
    network : str or tuple of two Module, default="auto"
        "auto" is `residual-mlp` for tables, `cnn2d` for images and `linear` for volumes. `linear` encodes and
        decodes whitened principal component scores, one component for every 8 training samples and at most
        256, by linear maps; it suits all kinds of samples. `residual-mlp` decodes a linear map of the codes
        plus a network, `mlp` has the network alone. For images, `e1` and `e2` are the paper's (App. E.1,
        E.2), and `release` has the convolutions of the authors' code. For volumes, `cnn3d` is that of
        App. E.3, with batch norm; `cnn3d-group` has group norm instead. Or the user's own (encoder, decoder):
        the encoder from samples to features of shape (batch, any width), the decoder from (batch,
        common_dim + salient_dim) to samples. Both are copied, the encoder once per space.
    reconstruction_var : float or "learnt", default="learnt"
        Variance of p(x | c, s). A number v weights the squared error, summed over pixels, by 1 / (2 v); the
        paper has 0.5. "learnt" is the maximum likelihood estimate, the mean squared error of each batch, so
        that the weights of the other terms suit data of any size and noise.
    background : label or None, default=None
        Label of the background. None is the one label that is a word for controls, else the first in sorted
        order, with a BackgroundWarning.
    space : {"both", "common", "salient"}, default="both"
        Space that `transform` returns.
    residualise : sequence of str or None, default=None
        Covariates whose effects are removed from a table: attributes of a source, or columns of a DataFrame,
        which are then not features. A regression is fitted on the controls of the training part; the network
        sees w-scores, and decoded samples are in the units of X. Raises for classes that no such control has,
        such as a new site.
    learning_rate : float, default=0.001
        Learning rate of both Adam optimizers, of the model and of the critic.
    reset_optimizer : {"never", "epoch"}, default="never"
        "epoch" re-creates the optimizers before each epoch, as App. E.1 and E.2 do.
    gradient_clip_val : float or None, default=None
        Maximum Euclidean norm of the gradient of each optimizer; None does not clip.
    batch_size : int or "auto", default="auto"
        Samples per batch, with at least two of each group. "auto" is the largest of 128, 64, 32 and 16 that
        gives 20 steps per epoch or more, else 16.
    balanced : bool, default=False
        Draw the groups in equal numbers in each batch, instead of in the proportions of the data.
    num_workers : int or "auto", default="auto"
        Worker processes that read samples which are not in memory; "auto" is one per core, at most 8.
    compile : bool, default=False
        Compile the training step with torch, if possible. The first step takes about 20 s longer; small
        networks then train faster, convolutions on a CPU hardly.
    max_epochs : int or "auto", default="auto"
        Passes through the training part. "auto" is 100, or more if 1500 steps take more.
    validation_fraction : float, default=0.1
        Share of the data for the validation curves, in [0, 1), stratified by label, groups kept together.
        It is empty if a label has too few samples or groups.
    early_stopping : int or None, default=None
        Stop after this many epochs without a lower validation loss, mutual information excluded.
    keep : {"last", "best"}, default="last"
        Epoch whose weights are kept; "best" has the lowest validation loss, mutual information excluded.
    checkpoint : str, Path or None, default=None
        File with the complete training state, replaced after each epoch. If it exists, `fit` resumes from it,
        with the same result as an uninterrupted fit; a larger `max_epochs` adds epochs to a finished fit,
        unless early stopping ended it. Raises for a file of other keywords, labels or ids; sample values are
        not compared.
    warm_start : bool, default=False
        Start a second `fit` with the weights (and principal components) of the first, as in scikit-learn, and
        train for `max_epochs` more. Optimizers, scaling and `history_` start anew; shapes must be the same.
    random_state : int or None, default=0
        Seed of weights, sample order and noise, below 2**32; None draws one.
    progress_bar : bool, default=True
        Show epochs, terms and the remaining time.
    accelerator, devices, num_nodes, strategy, precision : default="auto", 1, 1, "auto", "32-true"
        As in `lightning.pytorch.Trainer`. Several devices share each batch; the result is that of one device.
    logger, callbacks : default=None
        As in `lightning.pytorch.Trainer`.
"""

ATTRIBUTES = """\
    classes_ : ndarray of shape (2,)
        Labels, sorted.
    background_ : label
        Label of the background.
    module_ : ContrastiveAutoencoder
        The trained networks.
    batch_size_ : int
        Samples per batch of the fit.
    max_epochs_ : int
        Maximum number of passes of the fit.
    history_ : DataFrame
        One row per epoch: every term for training and validation, by group, and weighted.
    validation_indices_ : ndarray of int
        Positions of the validation samples.
    residualizer_ : Residualizer or None
        Fitted regression of tables on covariates.
    scaler_ : TableScaler or None
        Fitted standardisation and imputation of tables.
    principal_scores_ : PrincipalScores or None
        Principal components of the training samples, for network `linear`.
    sample_shape_ : tuple of int
        Shape of one sample.
    grid_ : Grid or None
        Positions of the voxels of volumes, if their source provides them.
    n_features_in_ : int
        Number of features, for tables.
    feature_names_in_ : ndarray of str
        Names of features, for DataFrames.
"""


def with_keywords(docstring: str | None) -> str:
    """Replace the marks in the docstring of a class with the shared keywords and attributes."""
    # Python 3.13 and later strip the indentation of docstrings, earlier versions keep it.
    text = cleandoc(docstring or "")
    return text.replace(MARK, cleandoc(KEYWORDS)).replace(ATTRIBUTES_MARK, cleandoc(ATTRIBUTES))

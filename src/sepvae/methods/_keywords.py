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
        Variance of p(x | c, s). A number v weighs the squared error, summed over pixels, by 1 / (2 v): 0.5 is
        the paper's. "learnt" takes the likeliest, which is the mean squared error of each batch, so that the
        weights suit data of any size and noise.
    background : label or None, default=None
        Which label is the background; None names the first in sorted order.
    space : {"both", "common", "salient"}, default="both"
        What `transform` gives.
    residualise : sequence of str or None, default=None
        Covariates to take out of a table: attributes of a source, or columns of a DataFrame, which then are
        no features. Their effects are learnt from the controls of the training part; samples are seen as
        w-scores, and come back in the units of X. Classes that no such control has (a new site) are refused.
    learning_rate : float, default=0.001
        Of Adam, for the model and for the critic.
    reset_optimizer : {"never", "epoch"}, default="never"
        "epoch" re-creates the optimizers before each epoch, as App. E.1 and E.2 do.
    gradient_clip_val : float or None, default=None
        Largest Euclidean norm of a step's gradient, of the critic and of all else apart; None clips none.
    batch_size : int or "auto", default="auto"
        Samples a batch. Every batch holds two or more samples of each group. "auto" is the largest of 128,
        64, 32 and 16 that gives 20 steps an epoch or more, and 16 where none does.
    balanced : bool, default=False
        Groups in equal numbers in each batch, instead of in the data's proportions.
    num_workers : int or "auto", default="auto"
        Processes that read samples which are not in memory; "auto" is one for each core, at most 8.
    compile : bool, default=False
        Have torch compile the training step, where it can: the first step takes some 20 s longer, the others
        less time if the network is small; for convolutions on a CPU it brings little.
    max_epochs : int or "auto", default="auto"
        Passes through the training part. "auto" is 100, or as many as give 1500 steps where that is more.
    validation_fraction : float, default=0.1
        Share of the data set aside for the validation curves, in [0, 1), stratified by label and grouped.
        None is set aside where a label has too few samples or groups for it.
    early_stopping : int or None, default=None
        Stop after this many epochs in which the validation loss, without the mutual information, did not
        fall.
    keep : {"last", "best"}, default="last"
        Which epoch's weights to keep; "best" has the least validation loss without the mutual information.
    checkpoint : str, Path or None, default=None
        File for all that a fit needs to go on, written anew after each epoch. A fit that finds it there goes
        on from it, and ends as if it had never been stopped; a larger `max_epochs` adds epochs to a finished
        fit, unless early stopping ended it. A fit with other keywords, labels or ids is refused.
        Whether the samples are the same is for you to know.
    warm_start : bool, default=False
        Whether a second `fit` begins with the weights of the first, as in scikit-learn, and trains for
        `max_epochs` more. Optimizers, scaling and `history_` begin anew; the shapes must be the same.
    random_state : int or None, default=0
        Seed of weights, order and noise, below 2**32; None draws one.
    progress_bar : bool, default=True
        Show epochs, terms and the time left.
    accelerator, devices, num_nodes, strategy, precision : default="auto", 1, 1, "auto", "32-true"
        As in `lightning.pytorch.Trainer`. Several devices share each batch, and give what one would give.
    logger, callbacks : default=None
        As in `lightning.pytorch.Trainer`.
"""

ATTRIBUTES = """\
    classes_ : ndarray of shape (2,)
        Labels, sorted.
    background_ : label
        Which of them is the background.
    module_ : ContrastiveAutoencoder
        The trained networks.
    batch_size_ : int
        Samples a batch that the fit took.
    max_epochs_ : int
        Passes that it was to take.
    history_ : DataFrame
        One row per epoch: every term for train and validation, by group, and weighted.
    validation_indices_ : ndarray of int
        Positions of the samples set aside for validation.
    residualizer_ : Residualizer or None
        What takes covariates out of tables.
    scaler_ : TableScaler or None
        What standardises tables and fills their gaps.
    principal_scores_ : PrincipalScores or None
        Principal components of the training samples, for network `linear`.
    sample_shape_ : tuple of int
        Shape of one sample.
    grid_ : Grid or None
        Where the voxels of volumes are, if their source says it.
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

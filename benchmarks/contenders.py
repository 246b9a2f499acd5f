"""
Contenders of `speed.py`: each trains epoch by epoch, then encodes, in turns, in a process of its own.

A contender is a function of a row and of its `Turns`. It calls `begin` and `end` around each epoch and
`stepped` after each step, and returns a function that encodes all samples once, or None. To add one, write it
and name it in `find`.
"""

import os
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from turns import Encode, Row, Turns, make_data

Contender = Callable[[Row, Turns], Encode | None]
NAMES = ("eager", "compiled", "literal", "pythae", "bound")


def find(name: str) -> Contender:
    """Import what a contender needs, and no more, for the time to its first step is measured."""
    own = {"eager": eager, "compiled": compiled, "half": half, "plain": plain, "consistent": consistent}
    if name in own:
        return own[name]
    import rivals

    return {"literal": rivals.literal, "pythae": rivals.pythae, "bound": rivals.bound}[name]


def run(name: str, row: Row, turns: Turns, threads: int) -> None:
    """Be one contender from start to end; an error goes to the parent."""
    torch.set_num_threads(threads)
    try:
        encode = find(name)(row, turns)
        if encode is not None:
            turns.encode(encode, row.samples)
    except Exception as error:
        reason = str(error).strip().splitlines() or [""]
        turns.connection.send({"error": f"{type(error).__name__}: {reason[0]}"})
    turns.leave()


def eager(row: Row, turns: Turns) -> Encode:
    """Fit the estimator as a user does."""
    return _fit(row, turns)


def compiled(row: Row, turns: Turns) -> Encode:
    """The same, compiled, with nothing left over from a compilation before."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        return _fit(row, turns, compile=True)


def half(row: Row, turns: Turns) -> Encode:
    """The same in bfloat16, where the processor has it."""
    return _fit(row, turns, precision="bf16-mixed")


def consistent(row: Row, turns: Turns) -> Encode:
    """The same with the consistency terms: what they add to a step."""
    terms = ("removal_common", "removal_salient", "swap_common", "swap_salient")
    return _fit(row, turns, **dict.fromkeys(terms, 1.0))


def _estimator(row: Row, **keywords: Any) -> Any:
    import sepvae

    fixed = {
        "network": row.network,
        "batch_size": row.batch,
        "reset_optimizer": "never",
        "accelerator": "cpu",
    }
    method = getattr(sepvae, row.method)
    return method.from_preset("paper", **fixed, validation_fraction=0, progress_bar=False, **keywords)


def _fit(row: Row, turns: Turns, **keywords: Any) -> Encode:
    import lightning.pytorch as pl

    class Epochs(pl.Callback):
        """An epoch lasts until the next one starts: all that Lightning and we do in between is in it."""

        def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.current_epoch > 0:
                turns.end(row.samples)
            turns.begin()

        def on_train_batch_end(self, *_: Any) -> None:
            turns.stepped()

        def on_train_end(self, *_: Any) -> None:
            turns.end(row.samples)

    x, y = make_data(row)
    model = _estimator(row, max_epochs=turns.epochs, callbacks=[Epochs()], **keywords).fit(x, y)
    return lambda: model.encode(x)


def plain(row: Row, turns: Turns) -> None:
    """Take the steps of `eager`, with the same module and loader, but driven by `plain_loop`; then end."""
    import lightning.pytorch as pl

    class TakeOver(pl.Callback):
        """`fit` has set all up; there is nothing left for it to do afterwards."""

        def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            plain_loop(trainer, module, row, turns)
            turns.leave()
            os._exit(0)

    x, y = make_data(row)
    _estimator(row, max_epochs=1, callbacks=[TakeOver()]).fit(x, y)


def plain_loop(trainer: Any, module: Any, row: Row, turns: Turns) -> None:
    """
    Call the module's step in a plain loop over its loader, with torch's own optimizers and backward.

    KEEP IN STEP WITH sepvae.training.module: of Lightning its step uses `optimizers`, `manual_backward`,
    `current_epoch`, `global_rank`, `trainer.world_size`, and `log_dict` once an epoch. The first two and the
    last are replaced here; the others are attributes, which the module finds in the trainer that waits.
    """
    optimizers = list(trainer.optimizers)
    module.optimizers = lambda: optimizers
    module.manual_backward = lambda loss: loss.backward()
    module.log_dict = lambda *_, **__: None
    module.train()
    for epoch in range(turns.epochs):
        turns.begin()
        trainer.train_dataloader.sampler.set_epoch(epoch)
        for step, batch in enumerate(trainer.train_dataloader):
            module.training_step(batch, step)
            turns.stepped()
        module.on_train_epoch_end()
        turns.end(row.samples)

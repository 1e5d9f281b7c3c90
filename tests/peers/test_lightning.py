"""A dropout scheduler among the `lr_schedulers` of a Lightning module."""

import pytest
import torch

import torchdropout as td
from torchdropout.models.schedule import DropoutScheduler, Linear

lightning = pytest.importorskip("lightning")
pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice, and torch's on its pytree

DATA = torch.utils.data.TensorDataset(torch.randn(6, 4))


class Net(lightning.LightningModule):
    def __init__(self, *, attached=True):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(4, 4), td.nn.Dropout(0.5), torch.nn.Linear(4, 1)
        )
        self.attached, self.seen = attached, []

    def training_step(self, batch, index):
        self.seen.append(self.net[1].p)
        return self.net(batch[0]).square().mean()

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        given = {"optimizer": optimizer} if self.attached else {}
        ours = DropoutScheduler(self.net, Linear(8), **given)
        theirs = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        return [optimizer], [{"scheduler": ours, "interval": "step"}, theirs]


def trainer(epochs, root):
    return lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=root,
    )


def test_it_steps_and_is_resumed(tmp_path):
    data = torch.utils.data.DataLoader(DATA)
    first, fit = Net(), trainer(1, tmp_path)
    fit.fit(first, data)
    assert first.seen == [i / 16 for i in range(6)]
    fit.save_checkpoint(tmp_path / "it.ckpt")
    second = Net()
    trainer(2, tmp_path).fit(second, data, ckpt_path=tmp_path / "it.ckpt")
    assert second.seen == [min(i, 8) / 16 for i in range(6, 12)]


def test_without_an_optimizer_the_error_says_what_is_missing(tmp_path):
    with pytest.raises(AttributeError, match="has no optimizer"):
        trainer(1, tmp_path).fit(Net(attached=False), torch.utils.data.DataLoader(DATA))

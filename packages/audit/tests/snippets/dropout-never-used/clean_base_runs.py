from torch import nn

from .base import AbstractModel, Decoder


class Inherited(AbstractModel):
    # `encode` of the base may apply it.
    def __init__(self, config):
        super().__init__(config)
        self.drop = nn.Dropout(0.1)

    def forward(self, batch):
        return self.encode(batch)


class Passed(AbstractModel):
    def __init__(self, config):
        super().__init__(config)
        self.drop = nn.Dropout(0.1)

    def forward(self, batch):
        return batch.map(self.encode)


class Wrapped(Decoder):
    def __init__(self, config):
        super().__init__(config)
        self.drop = nn.Dropout(0.1)

    def forward(self, batch):
        return super().decode(batch) * 2


class WithoutForward(AbstractModel):
    # The base's forward() is what runs.
    def __init__(self, config):
        super().__init__(config)
        self.drop = nn.Dropout(0.1)

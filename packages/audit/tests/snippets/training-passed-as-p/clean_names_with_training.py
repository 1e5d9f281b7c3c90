import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        # Rates, whatever their names begin with.
        x = F.dropout(x, self.training_rate, self.training)
        x = self.fc(x)
        return F.dropout(x, self.train_dropout, self.training)

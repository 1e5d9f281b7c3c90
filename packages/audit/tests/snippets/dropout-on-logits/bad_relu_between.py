import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(1536, 30)
        self.fc1_drop = nn.Dropout(0.4)

    def forward(self, x):
        x = F.relu(self.fc1_drop(self.fc1(x)))  #! dropout-on-logits advice
        return F.log_softmax(x, dim=1)

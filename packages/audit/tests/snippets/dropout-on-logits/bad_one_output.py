import torch
from torch import nn

layers = []
for n in range(3):
    layers.append(nn.Linear(8, 8))
    layers.append(nn.Dropout(0.5))  #! dropout-on-logits advice
layers.append(nn.Softmax(dim=1))
net = nn.Sequential(*layers)


class Net(nn.Module):
    def __init__(self, d, n_tags, p):
        super().__init__()
        self.fc = nn.Linear(d, 1)
        self.tag = nn.Linear(d, n_tags)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        emissions = self.drop(self.tag(x))  #! dropout-on-logits advice
        return emissions, torch.sigmoid(self.drop(self.fc(x)))  #! dropout-on-logits advice

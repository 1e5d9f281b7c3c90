from torch import nn


class Net(nn.Module):
    def __init__(self, device, mask):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.drop = nn.Dropout(0.5).to(device)  #! dropout-never-used advice
        self.mask = mask

    def forward(self, x):
        if self.mask == "drop":
            x = x * 0.5
        return self.fc(x)

from torch import nn


class Old(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.a = nn.Dropout(p)  # unused, for the repr of old models
        # Kept for backward compatibility.
        self.b = nn.Dropout(p)
        self.c = nn.Dropout(p)  # 废弃代码,仅做兼容性保留
        self.d = nn.Dropout(p)  # deprecated

    def forward(self, x):
        return self.fc(x)

import paddle
from helper import *

# torch's names, but this is a project of paddle.


class Net(nn.Layer):
    def __init__(self, p=0.3):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.bn = nn.BatchNorm1D(8)

    def forward(self, x):
        x = self.bn(self.drop(x))
        return F.dropout(x, 0.1)

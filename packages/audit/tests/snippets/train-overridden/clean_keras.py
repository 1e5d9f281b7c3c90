import keras
from paddle import nn


class Net(keras.Model):
    def train(self):
        self.fit(self.x)


class Other(nn.Layer):
    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.1)

    def train(self):
        self.training = True

    def forward(self, x):
        return self.dropout(x)

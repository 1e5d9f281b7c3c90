from torch.nn import BatchNorm1d, Dropout, Linear, ReLU, Sequential

net = Sequential(
    Linear(8, 16),
    Dropout(0.5),  #! dropout-before-batchnorm advice
    ReLU(),
    BatchNorm1d(16),
    Linear(16, 1),
)

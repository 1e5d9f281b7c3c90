import torch

net = torch.nn.Sequential(
    torch.nn.Conv2d(3, 8, 3),
    torch.nn.Dropout2d(0.2),  #! dropout-before-batchnorm advice
    torch.nn.BatchNorm2d(8),
    torch.nn.ReLU(),
)

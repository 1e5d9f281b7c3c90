import torch

net = torch.nn.Sequential(
    torch.nn.Conv1d(4, 8, 3),
    torch.nn.BatchNorm1d(8),
    torch.nn.ReLU(),
    torch.nn.Dropout2d(0.1),  #! feature-dropout-rank advice
    torch.nn.Conv1d(8, 8, 3),
)

import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = torch.nn.GRU(10, 20, num_layers=1, dropout=0.1)  #! rnn-dropout-without-effect

import torch.nn.functional


class Net(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.dropout(x, p=0.1)  #! functional-always-on

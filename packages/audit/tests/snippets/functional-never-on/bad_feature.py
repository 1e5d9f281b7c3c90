import torch


class SNN(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.feature_alpha_dropout(x, p=self.p)  #! functional-never-on

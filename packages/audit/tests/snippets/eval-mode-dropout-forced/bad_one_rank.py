from torch import nn


class Net(nn.Module):
    def eval_with_dropout(self):
        self.eval()
        for name, m in self.named_modules():
            if isinstance(m, nn.Dropout2d):
                m.train(True)  #! eval-mode-dropout-forced advice
        return self

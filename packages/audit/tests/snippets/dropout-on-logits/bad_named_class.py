from torch import nn


class Gestures(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.num_output = 9
        self.rnn = nn.LSTM(8, width)
        self.fc = nn.Linear(width, self.num_output)
        self.drop = nn.Dropout(0.5)

    def forward(self, x, state):
        out, state = self.rnn(x, state)
        class_out = self.fc(out)
        class_out = self.drop(class_out)  #! dropout-on-logits advice
        return out, state, class_out

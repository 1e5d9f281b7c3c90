from torch import nn

encoders = nn.ModuleDict(
    {
        "text": nn.LSTM(300, 128, 1, batch_first=True, dropout=0.3),  #! rnn-dropout-without-effect
        "audio": nn.GRU(80, 128, 2, batch_first=True, dropout=0.3),
    }
)

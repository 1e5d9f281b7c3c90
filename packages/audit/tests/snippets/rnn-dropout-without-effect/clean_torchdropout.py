import torchdropout as td

lstm = td.nn.LSTM(10, 20, 2, dropout=0.5)
state = td.nn.LSTM(10, 20, input_dropout=0.5, recurrent_dropout=0.2)

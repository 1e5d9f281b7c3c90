import torchdropout as td


def build(lstm, head, branch, emb, rate):
    return (
        td.nn.MultiheadAttention(8, 2, dropout=0.5),
        td.nn.MultiheadAttention(80, 20),
        td.nn.LayerDrop(branch, rate),
        td.nn.EmbeddingDropout(emb),
        td.nn.MultiSampleDropout(0.5, head, 8),
        td.nn.WeightDrop(lstm, 0.5, ["weight_hh_l0"], broadcast_dims=(1,)),
        td.nn.TokenDropout(0.5, 2),
        td.nn.LSTM(4, 4, 3, recurrent_dropout=0.1),
    )

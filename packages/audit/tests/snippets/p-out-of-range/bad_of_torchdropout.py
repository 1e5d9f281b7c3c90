import torchdropout as td
from torchdropout.nn import MultiheadAttention, WeightDrop


def build(lstm, head, branch, emb):
    return (
        MultiheadAttention(8, 2, dropout=1.5),  #! p-out-of-range
        td.nn.MultiheadAttention(8, 2, 10),  #! p-out-of-range
        td.nn.LayerDrop(branch, 1.2),  #! p-out-of-range
        td.nn.LayerDrop(branch, p=-0.1),  #! p-out-of-range
        td.nn.EmbeddingDropout(emb, p=20),  #! p-out-of-range
        td.nn.EmbeddingDropout(emb, embed_p=20),  #! p-out-of-range
        td.nn.MultiSampleDropout(1.5, head),  #! p-out-of-range
        td.nn.MultiSampleDropout(head=head, p=float("nan")),  #! p-out-of-range
        WeightDrop(lstm, 50),  #! p-out-of-range
        td.nn.DropPath(drop_prob=1.01),  #! p-out-of-range
        td.nn.TokenDropout(prob=2),  #! p-out-of-range
        td.nn.LSTM(4, 4, recurrent_dropout=1.1, zoneout_cell=-1),  #! p-out-of-range #! p-out-of-range
    )

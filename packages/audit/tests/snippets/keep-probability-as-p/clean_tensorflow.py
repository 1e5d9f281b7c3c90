import tensorflow as tf


def drop(x, keep_prob):
    return tf.compat.v1.nn.dropout(x, keep_prob=keep_prob)

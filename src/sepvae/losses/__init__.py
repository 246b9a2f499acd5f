"""Loss terms: pure functions of tensors that return one value per sample, without weights or reduction."""

from math import log

# Loss of a critic that cannot tell pairs of codes apart, for training and, without torch, for reports.
CHANCE = 2 * log(2)  # nats
MARGIN = 0.01  # nats; a critic that never gets further below chance has learnt nothing

"""Loss of a critic that cannot tell pairs of codes apart; without torch, for training and reports."""

import math

CHANCE = 2 * math.log(2)  # nats
MARGIN = 0.01  # nats; a critic that never gets further below chance has learnt nothing

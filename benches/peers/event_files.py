"""Prints what TensorBoard reads from the event files of a folder: used by the test `tensorboard_reads_every_step_once`.

    pip install tensorboard
    python benches/peers/event_files.py DIR
"""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
events.Reload()
scalars = {
    tag: [[point.step, point.value] for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]
}
print(json.dumps(scalars))

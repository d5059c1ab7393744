"""Skills from labelled examples: data, methods, measurement, the skill store and tuning jobs."""

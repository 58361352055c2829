"""Values that remember how they were computed: Tensor and Op, dispatch, views, the backward walk."""

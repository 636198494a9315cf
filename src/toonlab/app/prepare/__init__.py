"""The tasks of `src/prepare.py`: a module with `run(cfg)` here, and a `conf/prepare_<name>.yaml` each.

Nothing else knows their names. The YAML's first comment line says what the task does, its second gives an
example, and both, like the comments beside its settings, are what `--help` shows (`toonlab.app.tasks`).
"""

"""What :class:`renderers.Recorder` is made of: encoders, files, parts, the sidecar.

``timeline`` and ``load`` are pure; ``formats``, ``video``, ``sound`` and ``media_file`` know PyAV, which they
get as an argument; ``parts`` cuts a recording into files; ``sidecar`` writes and reads the lines beside them.
"""

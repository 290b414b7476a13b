"""The whole feature catalog as other people would write it, from the same Parquet files.

Each peer module has `features(files, reference, now_us, today) -> pyarrow.Table`: one row a
customer, sorted, columns of the catalog. `bench.speed.equality` holds that all of them agree.
"""

"""The layouts that a data set is stored in, by name; `writers.py` has what writes each."""

LAYOUTS = {
    "authors": "a folder for each prompt with prompt.json, metadata.jsonl, SEED_0 and SEED_1, and seeds.json",
    "webdataset": "tar files with the pictures and a .json of each pair",
    "parquet": "Parquet files with the pictures in them, as the public data sets on the hub",
    "plain": "numbered pictures and one metadata.jsonl",
}

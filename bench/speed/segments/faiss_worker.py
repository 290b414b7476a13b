"""Runs inside the isolated environment of faiss: k-means or assignment, its seconds as JSON.

It imports nothing of this repository. Arguments: rows (.npy), centres (.npy; written by k-means,
read by assignment), what (kmeans, sample, assign), groups, starts, seed.
"""

import json
import sys
import time

import faiss
import numpy as np


def main() -> None:
    faiss.omp_set_num_threads(1)
    file, centers, what = sys.argv[1:4]
    groups, starts, seed = map(int, sys.argv[4:7])
    rows = np.ascontiguousarray(np.load(file))
    index = faiss.IndexFlatL2(rows.shape[1])
    if what == "assign":
        index.add(np.load(centers))
    begun, busy = time.perf_counter(), time.process_time()
    if what == "assign":
        index.search(rows, 1)
    else:
        # Its default looks at 256 rows a centre; `kmeans` gives it all of them.
        more = {"max_points_per_centroid": len(rows)} if what == "kmeans" else {}
        model = faiss.Kmeans(rows.shape[1], groups, niter=25, nredo=starts, seed=seed, **more)
        model.train(rows)
        np.save(centers, model.centroids)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - busy
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "version": faiss.__version__}))


if __name__ == "__main__":
    main()

"""One system of the tokenizer benchmark in a process of its own: SYSTEM DOCUMENTS TOKENIZER (see bench.rs)."""
import json
import os
import resource
import statistics
import sys
import time

system, documents, tokenizer_json = sys.argv[1:4]
VOCAB_SIZE = 32768
ENCODED_BYTES = 10_000_000
ours = json.load(open(tokenizer_json, encoding="utf-8"))
pattern = ours["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
merges = len(ours["model"]["merges"])
threads = os.environ.setdefault("RAYON_NUM_THREADS", "2")


def lines():
    for line in open(documents, encoding="utf-8"):
        yield json.loads(line)


def ranks():
    """Token bytes by rank, from our vocabulary: every system encodes with the same merges."""
    letters = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in letters]
    byte_of = {chr(b): b for b in letters} | {chr(256 + i): b for i, b in enumerate(others)}
    return {bytes(byte_of[c] for c in token): i for token, i in ours["model"]["vocab"].items()}


def report_training(seconds):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"train {system[6:]}, {threads} threads: {seconds:.2f} s (documents read in between), peak {peak} MB", flush=True)


def rate(work, size):
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return f"{size / 1e6 / statistics.median(seconds):.1f}"


if system == "train-rustbpe":
    import rustbpe

    trainer = rustbpe.Tokenizer()
    start = time.perf_counter()
    trainer.train_from_iterator(lines(), vocab_size=256 + merges, pattern=pattern)
    report_training(time.perf_counter() - start)
    theirs = {bytes(token): rank for token, rank in trainer.get_mergeable_ranks()}
    print("  same vocabulary as ours:", theirs == ranks(), flush=True)
elif system == "train-tokenizers":
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(vocab_size=256 + merges, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    start = time.perf_counter()
    tokenizer.train_from_iterator(lines(), trainer)
    report_training(time.perf_counter() - start)
else:
    everything = list(lines())
    step = max(1, sum(len(text.encode()) for text in everything) // ENCODED_BYTES)
    texts = everything[::step]
    size = sum(len(text.encode()) for text in texts)
    if system == "encode-tiktoken":
        import tiktoken

        encoding = tiktoken.Encoding("ours", pat_str=pattern, mergeable_ranks=ranks(), special_tokens={})
        one = rate(lambda: [encoding.encode_ordinary(text) for text in texts], size)
        two = rate(lambda: encoding.encode_ordinary_batch(texts, num_threads=2), size)
    elif system == "encode-rustbpe":
        import rustbpe

        encoding = rustbpe.Tokenizer()
        encoding.train_from_iterator(iter(texts), vocab_size=256 + merges, pattern=pattern)
        one = rate(lambda: [encoding.encode(text) for text in texts], size)
        two = rate(lambda: encoding.batch_encode(texts), size)
    else:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(tokenizer_json)
        one = rate(lambda: [tokenizer.encode(text) for text in texts], size)
        two = rate(lambda: tokenizer.encode_batch_fast(texts), size)
    print(f"encode {system[7:]}, {size / 1e6:.1f} MB: {one} MB/s on one thread, {two} in batches on {threads}", flush=True)

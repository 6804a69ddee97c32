//! Token ids against transformers and `open_clip`, exactly.

use std::path::{Path, PathBuf};

use diffusion_lora::text::tokenizer::{BpeTraining, Cleaning, ClipTokenizer};
use serde_json::Value;

/// Where CLIP's own `bpe_simple_vocab_16e6.txt.gz` lies, for the cases that need it.
const CLIP_VOCABULARY: &str = "TORCHLIGHT_CLIP_VOCAB";

fn folder() -> PathBuf {
    match std::env::var_os("TORCHLIGHT_GOLDENS") {
        Some(root) => PathBuf::from(root).join("diffusers/tokenizer"),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diffusers/tokenizer"),
    }
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

fn ids(case: &Value, name: &str) -> Vec<i64> {
    let list = case[name].as_array().unwrap_or_else(|| panic!("no list {name}"));
    list.iter().map(|id| id.as_i64().expect("a number")).collect()
}

/// Every sub-folder with a vocabulary and cases.
#[test]
fn golden_vocabulary_folders() {
    let mut checked = 0;
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the golden folder")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.join("cases.json").exists())
        .collect();
    folders.sort();
    assert!(!folders.is_empty(), "{}: no vocabularies", folder().display());
    for folder in folders {
        let file = json(&folder.join("cases.json"));
        let pad = file["pad_token_id"].as_u64().expect("a number");
        let vocab = json(&folder.join("vocab.json"));
        let pad_text = vocab
            .as_object()
            .and_then(|v| v.iter().find(|(_, id)| id.as_u64() == Some(pad)))
            .map(|(text, _)| text.clone())
            .expect("a padding token");
        let tokenizer = ClipTokenizer::from_folder(&folder)
            .and_then(|t| t.with_pad_token(&pad_text))
            .and_then(|t| {
                t.with_max_length(file["max_length"].as_u64().expect("a number") as usize)
            })
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        assert_eq!(Some(u64::from(tokenizer.start_id())), file["bos_token_id"].as_u64());
        assert_eq!(Some(u64::from(tokenizer.end_id())), file["eos_token_id"].as_u64());
        for case in file["cases"].as_array().expect("a list") {
            let text = case["text"].as_str().expect("a text");
            let encoding = tokenizer.encode(text);
            assert_eq!(encoding.ids, ids(case, "input_ids"), "{text:?}");
            assert_eq!(
                Some(encoding.length as u64),
                case["attention_mask_sum"].as_u64(),
                "{text:?}"
            );
            checked += 1;
        }
    }
    eprintln!("{checked} texts");
}

#[test]
fn golden_real_clip_vocabulary() {
    let Some(path) = std::env::var_os(CLIP_VOCABULARY) else {
        eprintln!("skipped: {CLIP_VOCABULARY} does not name CLIP's bpe_simple_vocab_16e6.txt.gz");
        return;
    };
    let file = json(&folder().join("clip_real_vocab_cases.json"));
    let length = file["max_length"].as_u64().expect("a number") as usize;
    let pipelines = ClipTokenizer::from_clip_merges(Path::new(&path))
        .and_then(|t| t.with_max_length(length))
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(Some(pipelines.vocabulary_size() as u64), file["vocab_size"].as_u64());
    let open_clip = pipelines.clone().with_cleaning(Cleaning::OpenClip);
    let zero = open_clip.clone().with_pad_token("!").expect("a token");
    for case in file["cases"].as_array().expect("a list") {
        let text = case["text"].as_str().expect("a text");
        assert_eq!(pipelines.encode(text).ids, ids(case, "hf_input_ids"), "{text:?}");
        let raw: Vec<i64> = open_clip.tokenize(text).into_iter().map(i64::from).collect();
        assert_eq!(raw, ids(case, "bpe_ids"), "{text:?}");
        assert_eq!(open_clip.encode(text).ids, ids(case, "input_ids_pad49407"), "{text:?}");
        assert_eq!(zero.encode(text).ids, ids(case, "input_ids_pad0"), "{text:?}");
    }
}

/// The tiny vocabulary was learned by another implementation from this text: ours learns the same.
#[test]
fn golden_training_learns_the_tiny_vocabulary() {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diffusers/tokenizer/tiny");
    let corpus = "pixelated network data type traffic packet header trace image stable diffusion \
        tcp udp icmp video conferencing social media streaming netflix youtube amazon twitch";
    let training = BpeTraining { merges: 120, ..BpeTraining::default() };
    let tokenizer = training.train([corpus]).expect("plain text");
    let out = tempfile::tempdir().expect("a temporary folder");
    tokenizer.save(out.path()).expect("a writable folder");
    let text = |path: PathBuf| std::fs::read_to_string(path).expect("readable");
    assert_eq!(text(out.path().join("merges.txt")), text(tiny.join("merges.txt")));
    assert_eq!(json(&out.path().join("vocab.json")), json(&tiny.join("vocab.json")));
}

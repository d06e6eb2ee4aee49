#pragma once

#include "strait/data/tokenizer.hpp"

namespace strait::data {

/// A tokenizer.json of the Hugging Face tokenizers library whose model is BPE: over bytes (GPT-2, LLaMA 3) or
/// over characters with marks for spaces (LLaMA 2, Mistral). A file that asks for anything else is refused.
/// Its truncation, padding and post-processor (tokens around a text) are left out: a document is followed by
/// end_of_document() and nothing else.
std::unique_ptr<Tokenizer> load_hugging_face(const std::string& path);

}  // namespace strait::data

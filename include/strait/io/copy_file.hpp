#pragma once

#include <string>

namespace strait::io {

/// Copies the bytes of a file; an existing `to` is replaced. Throws Error(ExitCode::io) with the file at
/// fault and the system's reason (std::filesystem::copy_file says "Input/output error" of a full disk).
void copy_file(const std::string& from, const std::string& to);

}  // namespace strait::io

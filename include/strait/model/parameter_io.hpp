#pragma once
// Flat vectors in HDF5 files, one dataset per parameter.

#include "strait/io/hdf5.hpp"
#include "strait/model/parameters.hpp"

#include <functional>
#include <string>

namespace strait::model {

/// What a parameter is called in a file; empty to leave it out.
using StoredName = std::function<std::string(const ParameterInfo&)>;
inline std::string own_name(const ParameterInfo& info) { return info.name; }

/// Writes every parameter of `flat` under its name, gains as [columns], the rest as [rows, columns]. Copies
/// of another stage's tensors are left out. Waits for `exec`.
template <class T>
void save_parameters(const ExecutionSpace& exec, io::Group group, const ParameterLayout& layout,
                     const Vector<T>& flat, const StoredName& stored_name = own_name);

/// Reads them back, copies of another stage's tensors too; the precision may differ. Waits for `exec`. A
/// missing dataset or another shape is an Error(ExitCode::io), but an anchor that the file lacks keeps its
/// value: on other cuts its boundary is new.
template <class T>
void load_parameters(const ExecutionSpace& exec, const io::Group& group, const ParameterLayout& layout,
                     const Vector<T>& flat, const StoredName& stored_name = own_name);

}  // namespace strait::model

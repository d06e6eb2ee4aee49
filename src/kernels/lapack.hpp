#pragma once
// The routines of LAPACK that are used, by the names that every implementation has, for both precisions.

extern "C" {
void ssyevd_(const char*, const char*, const int*, float*, const int*, float*, float*, const int*, int*,
             const int*, int*);
void dsyevd_(const char*, const char*, const int*, double*, const int*, double*, double*, const int*, int*,
             const int*, int*);
void sgeqrf_(const int*, const int*, float*, const int*, float*, float*, const int*, int*);
void dgeqrf_(const int*, const int*, double*, const int*, double*, double*, const int*, int*);
void sorgqr_(const int*, const int*, const int*, float*, const int*, const float*, float*, const int*, int*);
void dorgqr_(const int*, const int*, const int*, double*, const int*, const double*, double*, const int*,
             int*);
}

namespace strait::kernels::lapack {

/// Columns of a [n, n] <- eigenvectors, values [n] ascending. Returns LAPACK's info.
inline int syevd(int n, float* a, float* values, float* work, int size, int* integers, int integer_size) {
  int info = 0;
  ssyevd_("V", "L", &n, a, &n, values, work, &size, integers, &integer_size, &info);
  return info;
}
inline int syevd(int n, double* a, double* values, double* work, int size, int* integers, int integer_size) {
  int info = 0;
  dsyevd_("V", "L", &n, a, &n, values, work, &size, integers, &integer_size, &info);
  return info;
}

/// Q R of a [n, count], as reflections in a and tau [count]. A size of -1 asks for work's best.
inline int geqrf(int n, int count, float* a, float* tau, float* work, int size) {
  int info = 0;
  sgeqrf_(&n, &count, a, &n, tau, work, &size, &info);
  return info;
}
inline int geqrf(int n, int count, double* a, double* tau, double* work, int size) {
  int info = 0;
  dgeqrf_(&n, &count, a, &n, tau, work, &size, &info);
  return info;
}

/// q [n, n] <- the product of `count` such reflections.
inline int orgqr(int n, int count, float* q, const float* tau, float* work, int size) {
  int info = 0;
  sorgqr_(&n, &n, &count, q, &n, tau, work, &size, &info);
  return info;
}
inline int orgqr(int n, int count, double* q, const double* tau, double* work, int size) {
  int info = 0;
  dorgqr_(&n, &n, &count, q, &n, tau, work, &size, &info);
  return info;
}

}  // namespace strait::kernels::lapack

// expect: holds a pointer
#include "dtask/job.hpp"
#include <memory>
#ifdef DTASK_CONTROL
struct argument { int value; };
#else
struct argument { int* value; };
#endif
inline int take(argument) { return 1; }
using take_job = dtask::function_job<"take/1", &take>;
const auto entries = dtask::registry<take_job>::entries();

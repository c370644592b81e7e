// expect: an aggregate with a base class
#include "dtask/job.hpp"
#include <memory>
struct base { int value; };
#ifdef DTASK_CONTROL
struct argument { base first; int more; };
#else
struct argument : base { int more; };
#endif
inline int take(argument) { return 1; }
using take_job = dtask::function_job<"take/1", &take>;
const auto entries = dtask::registry<take_job>::entries();

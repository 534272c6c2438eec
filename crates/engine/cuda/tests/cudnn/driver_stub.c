/* A libcuda.so.1 with no device behind it: what cuDNN calls while it makes plans for a device that is only described.
 * Every function succeeds; those that make something say that it is here, which nothing ever looks into. */

typedef int result;

static char nothing[4096];

#define DOES_NOTHING(name) result name(void) { return 0; }
#define MAKES(name) result name(void **made) { *made = nothing; return 0; }
#define COUNTS(name, count) result name(int *number) { *number = count; return 0; }
#define SPEAKS(name) result name(result error, const char **text) { (void)error; *text = nothing; return 0; }

MAKES(cuCtxGetCurrent)
MAKES(cuCtxPopCurrent)
MAKES(cuLibraryGetKernel)
MAKES(cuLibraryLoadData)
MAKES(cuLibraryLoadFromFile)

COUNTS(cuDeviceGet, 0)
COUNTS(cuDeviceGetCount, 1)
COUNTS(cuDriverGetVersion, 13000)

SPEAKS(cuGetErrorName)
SPEAKS(cuGetErrorString)

DOES_NOTHING(cuCtxGetLimit)
DOES_NOTHING(cuCtxPushCurrent)
DOES_NOTHING(cuKernelGetAttribute)
DOES_NOTHING(cuKernelSetAttribute)
DOES_NOTHING(cuLaunchCooperativeKernel)
DOES_NOTHING(cuLaunchKernel)
DOES_NOTHING(cuLaunchKernelEx)
DOES_NOTHING(cuLibraryUnload)
DOES_NOTHING(cuLinkAddData)
DOES_NOTHING(cuLinkComplete)
DOES_NOTHING(cuLinkCreate)
DOES_NOTHING(cuLinkDestroy)
DOES_NOTHING(cuOccupancyMaxPotentialClusterSize)
DOES_NOTHING(cuStreamGetCtx)

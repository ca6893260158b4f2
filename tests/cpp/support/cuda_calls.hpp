// The driver functions that tests call themselves, with cuda.h's signatures.
#pragma once

#include <cstddef>

extern "C" {

int cuInit(unsigned flags);
int cuDeviceGetAttribute(int* value, int attribute, int ordinal);
int cuDeviceGetCount(int* count);
int cuDevicePrimaryCtxRetain(void** context, int ordinal);
int cuDevicePrimaryCtxRelease_v2(int ordinal);
int cuCtxCreate_v2(void** context, unsigned flags, int ordinal);
int cuCtxDestroy_v2(void* context);
int cuCtxPushCurrent_v2(void* context);
int cuCtxPopCurrent_v2(void** context);
int cuCtxSetCurrent(void* context);
int cuCtxGetCurrent(void** context);
int cuCtxSynchronize();
int cuMemGetInfo_v2(std::size_t* free, std::size_t* total);
int cuMemAlloc_v2(unsigned long long* address, std::size_t bytes);
int cuMemFree_v2(unsigned long long address);
int cuMemHostAlloc(void** address, std::size_t bytes, unsigned flags);
int cuMemFreeHost(void* address);
int cuMemHostGetDevicePointer_v2(unsigned long long* device, void* host, unsigned flags);
int cuPointerGetAttribute(void* value, int attribute, unsigned long long address);
int cuMemcpyHtoDAsync_v2(unsigned long long to, void const* from, std::size_t bytes, void* stream);
int cuMemcpyDtoHAsync_v2(void* to, unsigned long long from, std::size_t bytes, void* stream);
int cuMemcpyDtoDAsync_v2(unsigned long long to, unsigned long long from, std::size_t bytes, void* stream);
int cuStreamCreate(void** stream, unsigned flags);
int cuStreamDestroy_v2(void* stream);
int cuStreamSynchronize(void* stream);
int cuStreamQuery(void* stream);
int cuStreamWaitEvent(void* stream, void* event, unsigned flags);
int cuStreamBeginCapture_v2(void* stream, int mode);
int cuStreamEndCapture(void* stream, void** graph);
int cuGraphInstantiateWithFlags(void** exec, void* graph, unsigned long long flags);
int cuGraphLaunch(void* exec, void* stream);
int cuGraphExecDestroy(void* exec);
int cuGraphDestroy(void* graph);
int cuEventCreate(void** event, unsigned flags);
int cuEventDestroy_v2(void* event);
int cuEventRecord(void* event, void* stream);
int cuEventSynchronize(void* event);
int cuEventQuery(void* event);
int cuEventElapsedTime(float* milliseconds, void* start, void* stop);

}  // extern "C"

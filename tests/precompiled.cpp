// The unit of the precompiled headers, which are what counts here.

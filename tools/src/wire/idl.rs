//! The interface descriptions that `GetInterfaceDescription` answers, and the methods they name.

/// The control interface, for other programs to read.
pub const DESCRIPTION: &str = include_str!("org.flowgate.varlink");

/// Varlink's own interface, which every service has.
pub const SERVICE_INTERFACE: &str = "org.varlink.service";

/// The description of [`SERVICE_INTERFACE`], as far as a flowgate serves it.
pub const SERVICE_DESCRIPTION: &str = "\
# What every varlink service answers.
interface org.varlink.service

method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)
error PermissionDenied ()
error ExpectedMore ()
";

/// The methods of `org.flowgate`, by name.
pub const METHODS: [&str; 40] = [
    "Capture",
    "CounterList",
    "Explain",
    "FlowFlush",
    "FlowList",
    "FlowStats",
    "FlowTimeoutDelete",
    "FlowTimeoutSet",
    "FlowTimeouts",
    "GroupAdd",
    "GroupChange",
    "GroupDelete",
    "GroupExport",
    "GroupList",
    "NeighbourDelete",
    "NeighbourFlush",
    "NeighbourList",
    "NeighbourSet",
    "NexthopList",
    "NexthopSet",
    "Ping",
    "PortList",
    "RouteAdd",
    "RouteBatchAdd",
    "RouteBatchBegin",
    "RouteBatchCommit",
    "RouteBatchDrop",
    "RouteChange",
    "RouteDelete",
    "RouteExport",
    "RouteFlush",
    "RouteGet",
    "RouteList",
    "RouteMonitor",
    "RouteMoves",
    "Status",
    "TemplateFlush",
    "TemplateList",
    "Workers",
    "WorkersSet",
];

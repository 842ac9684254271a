"""The field table, first part: the pod, its metadata and what concerns its place among other pods (see fields.py)."""

TABLE = """
Pod  a group of containers that share a network, volumes and a fate
    apiVersion  string      applied     v1
    kind        string      applied     Pod
    metadata    ObjectMeta  applied     names, labels and history
    spec        PodSpec     applied     what the pod shall be
    status      object      refused={}  reported by the node, never part of a manifest

ObjectMeta  what every object has
    annotations                 map[string]string  applied  text for tools, not for selecting
    creationTimestamp           Time               refused  set by the node
    deletionGracePeriodSeconds  int64              refused  set by the node when the object is deleted
    deletionTimestamp           Time               refused  set by the node when the object is deleted
    finalizers                  []string           later    who must agree before the object goes
    generateName                string             later    prefix of a name the node makes up
    generation                  int64              refused  counted by the node
    labels                      map[string]string  applied  to select objects by
    managedFields               []object           refused  who set which field: kept by the API server
    name                        string             applied  unique within the namespace
    namespace                   string             applied  default when absent
    ownerReferences             []OwnerReference   later    the objects this one goes with
    resourceVersion             string             refused  set by the node: should not be set on objects to be created
    selfLink                    string             refused  no longer used by Kubernetes
    uid                         string             refused  made by the node

OwnerReference  an object that this one belongs to
    apiVersion          string  -  of the owner
    blockOwnerDeletion  bool    -  the owner stays until this object is gone
    controller          bool    -  the owner manages this object
    kind                string  -  of the owner
    name                string  -  of the owner
    uid                 string  -  of the owner

PodSpec  what the pod shall be
    activeDeadlineSeconds          int64                 applied      after so long the pod is ended and Failed
    affinity                       Affinity              no effect    which nodes and pods to be near to or far from
    automountServiceAccountToken   bool                  later=false  mount a token for the API; none is now
    containers                     []Container           applied      the app containers, started in this order
    dnsConfig                      PodDNSConfig          applied      additions to /etc/resolv.conf
    dnsPolicy                      string                applied      where /etc/resolv.conf comes from
    enableServiceLinks             bool                  later=false  variables for each Service; none are set now
    ephemeralContainers            []EphemeralContainer  refused      cannot be set on create
    hostAliases                    []HostAlias           later        additions to /etc/hosts
    hostIPC                        bool                  later=false  the host's IPC namespace
    hostNetwork                    bool                  applied      the host's network namespace
    hostPID                        bool                  later=false  the host's PID namespace
    hostUsers                      bool                  later=true   false: a user namespace for the pod
    hostname                       string                applied      the UTS namespace's; the pod's name when absent
    hostnameOverride               string                later        a name for the UTS namespace alone
    imagePullSecrets               []LocalObjectReference  later        credentials for registries
    initContainers                 []Container           applied      run to completion one by one, before the others
    nodeName                       string                later        the node the pod is bound to
    nodeSelector                   map[string]string     no effect    labels a node must have
    os                             PodOS                 no effect    the operating system of the node; linux
    overhead                       map[string]Quantity   later        what the pod costs beyond its containers
    preemptionPolicy               string                no effect=PreemptLowerPriority  whether lower ranks make way
    priority                       int32                 no effect=0  rank among pods that wait for a node
    priorityClassName              string                no effect    the class the rank comes from
    readinessGates                 []PodReadinessGate    applied      conditions from outside that Ready waits for
    resourceClaims                 []PodResourceClaim    refused      devices handed out by a cluster driver; not here
    resources                      ResourceRequirements  later        requests and limits of the pod as a whole
    restartPolicy                  string                applied      Always, OnFailure or Never
    runtimeClassName               string                later        which runtime runs the pod
    schedulerName                  string                no effect=default-scheduler  who chooses the node
    schedulingGates                []PodSchedulingGate   applied      what the pod waits for before it gets a node
    securityContext                PodSecurityContext    applied      defaults for every container
    serviceAccount                 string                later        the old name of serviceAccountName
    serviceAccountName             string                later        the identity the pod's token speaks for
    setHostnameAsFQDN              bool                  later=false  the full domain name as hostname
    shareProcessNamespace          bool                  applied      one PID namespace for all containers
    subdomain                      string                later        the part of the domain name after the hostname
    terminationGracePeriodSeconds  int64                 applied      between SIGTERM and SIGKILL; 30 when absent
    tolerations                    []Toleration          no effect    taints of nodes the pod tolerates
    topologySpreadConstraints      []TopologySpreadConstraint  no effect    how evenly pods are spread over nodes
    volumes                        []Volume              applied      what containers may mount
    workloadRef                    WorkloadReference     no effect    the group of pods it is scheduled with

PodSecurityContext  defaults for every container of the pod
    appArmorProfile           AppArmorProfile       later        the AppArmor profile of every container
    fsGroup                   int64                 later        the group that owns the volumes
    fsGroupChangePolicy       string                later=Always  when the group of a volume is changed
    runAsGroup                int64                 applied      gid of each container's first process
    runAsNonRoot              bool                  later=false  refuse to run uid 0
    runAsUser                 int64                 applied      uid of each container's first process
    seLinuxChangePolicy       string                later        how volumes get the SELinux label
    seLinuxOptions            SELinuxOptions        later        the SELinux label
    seccompProfile            SeccompProfile        applied      which system calls are allowed
    supplementalGroups        []int64               later        more groups of each container's first process
    supplementalGroupsPolicy  string                later        whether the image's /etc/group adds more
    sysctls                   []Sysctl              later        kernel parameters of the pod's namespaces
    windowsOptions            WindowsSecurityContextOptions  refused={}   this is not Windows

Sysctl  a kernel parameter
    name   string  -  e.g. net.ipv4.ip_unprivileged_port_start
    value  string  -  what is written to it

PodDNSConfig  additions to /etc/resolv.conf
    nameservers  []string              -  addresses, after those of the policy
    options      []PodDNSConfigOption  -  options of the resolver
    searches     []string              -  domains names are looked up in

PodDNSConfigOption  an option of the resolver
    name   string  -  e.g. ndots
    value  string  -  what follows the colon

HostAlias  a line of /etc/hosts
    hostnames  []string  -  names of the address
    ip         string    -  the address

LocalObjectReference  the name of an object in the pod's namespace
    name  string  -  of the object

PodReadinessGate  a condition that Ready waits for
    conditionType  string  -  of the condition

PodSchedulingGate  something the pod waits for
    name  string  -  of the gate

PodResourceClaim  devices of the pod
    name                       string  -  within the pod
    resourceClaimName          string  -  an existing claim
    resourceClaimTemplateName  string  -  a template a claim is made from

PodOS  the operating system the containers need
    name  string  -  linux or windows

WorkloadReference  a group of pods that are scheduled together
    name                string  -  of the Workload
    podGroup            string  -  the group within it
    podGroupReplicaKey  string  -  the replica of the group

Toleration  a taint the pod tolerates
    effect             string  -  NoSchedule, PreferNoSchedule or NoExecute
    key                string  -  of the taint
    operator           string  -  Exists, Equal, Lt or Gt
    tolerationSeconds  int64   -  for how long
    value              string  -  of the taint

TopologySpreadConstraint  how evenly pods are spread
    labelSelector       LabelSelector  -  the pods that are counted
    matchLabelKeys      []string       -  labels whose values must be the same
    maxSkew             int32          -  the largest difference between two places
    minDomains          int32          -  the smallest number of places
    nodeAffinityPolicy  string         -  whether the affinity limits the places
    nodeTaintsPolicy    string         -  whether taints limit the places
    topologyKey         string         -  the node label that tells places apart
    whenUnsatisfiable   string         -  DoNotSchedule or ScheduleAnyway

Affinity  which nodes and pods to be near to or far from
    nodeAffinity     NodeAffinity  -  nodes
    podAffinity      PodAffinity   -  pods to be near to
    podAntiAffinity  PodAffinity   -  pods to be far from

NodeAffinity  which nodes
    preferredDuringSchedulingIgnoredDuringExecution  []PreferredSchedulingTerm  -  wished for
    requiredDuringSchedulingIgnoredDuringExecution  NodeSelector          -  insisted on

PreferredSchedulingTerm  a wish with its weight
    preference  NodeSelectorTerm  -  the nodes
    weight      int32             -  1 to 100

NodeSelector  any of several terms
    nodeSelectorTerms  []NodeSelectorTerm  -  one of them must match

NodeSelectorTerm  requirements that must all be met
    matchExpressions  []LabelSelectorRequirement  -  on the node's labels
    matchFields       []LabelSelectorRequirement  -  on the node's fields

PodAffinity  which pods
    preferredDuringSchedulingIgnoredDuringExecution  []WeightedPodAffinityTerm  -  wished for
    requiredDuringSchedulingIgnoredDuringExecution  []PodAffinityTerm     -  insisted on

WeightedPodAffinityTerm  a wish with its weight
    podAffinityTerm  PodAffinityTerm  -  the pods
    weight           int32            -  1 to 100

PodAffinityTerm  pods, and how near
    labelSelector      LabelSelector  -  their labels
    matchLabelKeys     []string       -  labels whose values must be the same
    mismatchLabelKeys  []string       -  labels whose values must differ
    namespaceSelector  LabelSelector  -  the labels of their namespaces
    namespaces         []string       -  their namespaces
    topologyKey        string         -  the node label that says what near is

LabelSelector  objects by their labels
    matchExpressions  []LabelSelectorRequirement  -  requirements on labels
    matchLabels       map[string]string     -  labels and their values

LabelSelectorRequirement  a requirement on one label
    key       string    -  of the label
    operator  string    -  In, NotIn, Exists, DoesNotExist; for nodes also Gt, Lt
    values    []string  -  what it is compared with
"""
